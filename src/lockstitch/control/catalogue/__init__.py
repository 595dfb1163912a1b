"""What can be connected: every type with its properties and report card (connect-api 4.1, 5, 6, 7). Pure functions."""
