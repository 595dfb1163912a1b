"""Fake API servers of vendors, built from what the vendors document and never from our connectors.

    with CloseServer(make_account(seed=1, leads=250, days=40)) as server:
        server.faults.add(Burst429(times=3, retry_after=0.05, on="/lead/"))
        ...  # a connector reads server.url
        assert rows == server.data.truth("leads")

`server.py` is the HTTP server, `faults.py` the fault dial; the rest is a module or more a vendor.
"""
