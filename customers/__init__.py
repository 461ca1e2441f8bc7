"""WHOSE: customers and all that is personal about them. The only app with personal data."""
