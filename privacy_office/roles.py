"""The roles as groups, and what each may do in the admin. Nobody has a right that is not in this table."""

VIEW, ADD, CHANGE = "view", "add", "change"

# What those see who deal with customers; names, addresses and numbers stay masked all the same.
CUSTOMERS = {
    "customers.customer": [VIEW],
    "customers.historicalcustomer": [VIEW],
    "customers.service": [VIEW],
    "customers.historicalservice": [VIEW],
    "customers.contact": [VIEW],
    "customers.emailhold": [VIEW],
    "customers.historicalemailhold": [VIEW],
    "consent.consentstate": [VIEW],
    "consent.consentevent": [VIEW],
    "mailings.message": [VIEW],
}
RULES = {"consent.purpose": [VIEW], "consent.channelrule": [VIEW], "consent.policyversion": [VIEW], "mailings.renewalnotice": [VIEW]}
CAMPAIGNS = {"mailings.campaign": [VIEW], "mailings.historicalcampaign": [VIEW]}
HISTORY_OF_RULES = {
    "consent.historicalpurpose": [VIEW],
    "consent.historicalchannelrule": [VIEW],
    "consent.historicalpolicyversion": [VIEW],
    "mailings.historicalrenewalnotice": [VIEW],
}
ACTS_ON_CUSTOMERS = {
    "customers.customer": [VIEW, CHANGE],
    "customers.emailhold": [VIEW, ADD, CHANGE],
    "consent.consentstate": [VIEW, CHANGE],
}

# role: {app.model: rights}. History has rights of its own: app.historicalmodel.
ROLES = {
    "clerk": {**CUSTOMERS, **ACTS_ON_CUSTOMERS, **RULES},
    "marketer": {**CAMPAIGNS, "mailings.campaign": [VIEW, ADD, CHANGE], "consent.purpose": [VIEW]},
    "approver": {**CAMPAIGNS, "mailings.campaign": [VIEW, "approve"], "consent.purpose": [VIEW]},
    "officer": {
        **CUSTOMERS,
        **ACTS_ON_CUSTOMERS,
        **HISTORY_OF_RULES,
        **CAMPAIGNS,
        "consent.suppression": [VIEW],
        "consent.purpose": [VIEW, CHANGE],
        "consent.channelrule": [VIEW, CHANGE],
        "consent.policyversion": [VIEW, ADD, CHANGE],
        "mailings.renewalnotice": [VIEW, ADD, CHANGE],
        "mailings.campaign": [VIEW, "approve"],
        "audit.entry": [VIEW],
    },
    "auditor": {**CUSTOMERS, **RULES, **HISTORY_OF_RULES, **CAMPAIGNS, "consent.suppression": [VIEW], "audit.entry": [VIEW]},
    "administrator": {"privacy_office.staff": [VIEW, ADD, CHANGE]},
}


def codenames(rights):
    """Yield (app, permission's codename) for one role's row of the table."""
    for label, verbs in rights.items():
        app, model = label.split(".")
        for verb in verbs:
            yield app, f"{verb}_{model}"
