"""Tells people and programs what happened: e-mails, and calls to hooks after each load."""
