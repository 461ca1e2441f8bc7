"""WHAT WE SENT: campaigns, renewal notices, messages and the postman. Knows addresses only while it sends."""
