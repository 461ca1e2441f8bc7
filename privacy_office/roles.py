"""The roles as groups, and what each may do in the admin. Nobody has a right that is not in this table."""

VIEW, ADD, CHANGE = "view", "add", "change"

# What those see who deal with customers; names, addresses and numbers stay masked all the same.
CUSTOMERS = {
    "customers.customer": [VIEW],
    "customers.historicalcustomer": [VIEW],
    "customers.service": [VIEW],
    "customers.historicalservice": [VIEW],
    "customers.contact": [VIEW],
    "customers.evidence": [VIEW],
    "customers.attachment": [VIEW],
    "customers.correction": [VIEW],
    "customers.historicalcorrection": [VIEW],
    "customers.informationrequest": [VIEW],
    "customers.historicalinformationrequest": [VIEW],
    "customers.supportrequest": [VIEW],
    "customers.historicalsupportrequest": [VIEW],
    "customers.emailhold": [VIEW],
    "customers.historicalemailhold": [VIEW],
    "customers.emailchange": [VIEW],
    "customers.anomaly": [VIEW],
    "customers.rightsrequest": [VIEW],
    "customers.historicalrightsrequest": [VIEW],
    "customers.legalhold": [VIEW],
    "customers.historicallegalhold": [VIEW],
    "customers.erasure": [VIEW],
    "customers.historicalerasure": [VIEW],
    "consent.consentstate": [VIEW],
    "consent.consentevent": [VIEW],
    "consent.acknowledgement": [VIEW],
    "consent.approach": [VIEW],
    "mailings.message": [VIEW],
    "mailings.incomingmail": [VIEW],
}
RULES = {
    "customers.holdrule": [VIEW],
    "consent.purpose": [VIEW],
    "consent.channelrule": [VIEW],
    "consent.policyversion": [VIEW],
    "mailings.renewalnotice": [VIEW],
    "mailings.companyhost": [VIEW],
    "mailings.relayrule": [VIEW],
    "customers.deadlinerule": [VIEW],
    "customers.holiday": [VIEW],
    "customers.retentionrule": [VIEW],
    "customers.retentionrun": [VIEW],
}
CAMPAIGNS = {"mailings.campaign": [VIEW], "mailings.historicalcampaign": [VIEW]}
HISTORY_OF_RULES = {
    "customers.historicalholdrule": [VIEW],
    "consent.historicalpurpose": [VIEW],
    "consent.historicalchannelrule": [VIEW],
    "consent.historicalpolicyversion": [VIEW],
    "mailings.historicalrenewalnotice": [VIEW],
    "mailings.historicalcompanyhost": [VIEW],
    "mailings.historicalrelayrule": [VIEW],
    "customers.historicaldeadlinerule": [VIEW],
    "customers.historicalholiday": [VIEW],
    "customers.historicalretentionrule": [VIEW],
}
TRAIL = {"audit.entry": [VIEW], "audit.checkpoint": [VIEW], "audit.verification": [VIEW]}
# What those see who deal with third parties: kinds of data and customer numbers, never a value.
DISCLOSURES = {
    f"disclosures.{history}{model}": [VIEW]
    for model in ("thirdparty", "commitment", "permissionoffer", "disclosurerequest", "seal", "termrule", "recipienttask", "breach")
    for history in ("", "historical")
} | {
    "disclosures.document": [VIEW],
    "disclosures.permissionevent": [VIEW],
    "disclosures.disclosure": [VIEW],
    "disclosures.package": [VIEW],
}
# Who answers authorities approves too, but never what they assessed themselves.
ACTS_ON_DISCLOSURES = {
    "disclosures.thirdparty": [VIEW, ADD, CHANGE],
    "disclosures.commitment": [VIEW, ADD, CHANGE],
    "disclosures.permissionoffer": [VIEW, ADD, CHANGE],
    "disclosures.disclosurerequest": [VIEW, ADD, CHANGE, "approve"],
    "disclosures.seal": [VIEW, ADD],
    "disclosures.termrule": [VIEW, CHANGE],
    "disclosures.recipienttask": [VIEW, CHANGE],
    "disclosures.breach": [VIEW, ADD, CHANGE, "report"],
    "disclosures.disclosure": [VIEW, "export"],
    "disclosures.document": [VIEW, "read"],
}
APPROVES_DISCLOSURES = {
    "disclosures.thirdparty": [VIEW],
    "disclosures.commitment": [VIEW],
    "disclosures.permissionoffer": [VIEW],
    "disclosures.seal": [VIEW],
    "disclosures.disclosurerequest": [VIEW, "approve"],
    "disclosures.document": [VIEW, "read"],
}
REVEALS = {"customers.reveal": [VIEW], "customers.historicalreveal": [VIEW]}  # all of them; who reveals sees their own without this
ACTS_ON_CUSTOMERS = {
    "customers.customer": [VIEW, CHANGE, "reveal"],
    "customers.reveal": ["approve"],  # another's, never one's own
    "customers.emailhold": [VIEW, ADD, CHANGE],
    "customers.rightsrequest": [VIEW, ADD, CHANGE],
    "customers.legalhold": [VIEW, ADD, CHANGE],
    "customers.erasure": [VIEW, ADD, CHANGE],
    "customers.correction": [VIEW, ADD, CHANGE],
    "customers.informationrequest": [VIEW, ADD, CHANGE],
    "customers.supportrequest": [VIEW, CHANGE],
    "consent.consentstate": [VIEW, CHANGE],
    "consent.acknowledgement": [VIEW, ADD],
    "consent.approach": [VIEW, ADD],
}

# role: {app.model: rights}. History has rights of its own: app.historicalmodel.
ROLES = {
    "clerk": {**CUSTOMERS, **ACTS_ON_CUSTOMERS, **RULES},
    "marketer": {**CAMPAIGNS, "mailings.campaign": [VIEW, ADD, CHANGE, "try"], "consent.purpose": [VIEW]},
    "approver": {**CAMPAIGNS, "mailings.campaign": [VIEW, "try", "approve"], "consent.purpose": [VIEW], **APPROVES_DISCLOSURES},
    "officer": {
        **CUSTOMERS,
        **ACTS_ON_CUSTOMERS,
        **HISTORY_OF_RULES,
        **CAMPAIGNS,
        **REVEALS,
        "customers.reveal": [VIEW, "approve"],
        "customers.rightsrequest": [VIEW, ADD, CHANGE, "decide"],
        "customers.deadlinerule": [VIEW, CHANGE],
        "customers.holiday": [VIEW, ADD, CHANGE],
        "customers.erasure": [VIEW, ADD, CHANGE, "approve"],
        "customers.retentionrule": [VIEW, CHANGE],
        "customers.retentionrun": [VIEW],
        "consent.suppression": [VIEW],
        "customers.holdrule": [VIEW, CHANGE],
        "consent.purpose": [VIEW, CHANGE],
        "consent.channelrule": [VIEW, CHANGE],
        "consent.policyversion": [VIEW, ADD, CHANGE],
        "mailings.renewalnotice": [VIEW, ADD, CHANGE],
        "mailings.companyhost": [VIEW, ADD, CHANGE],
        "mailings.relayrule": [VIEW, CHANGE],
        "mailings.campaign": [VIEW, "try", "approve"],
        **DISCLOSURES,
        **ACTS_ON_DISCLOSURES,
        **TRAIL,
        "privacy_office.list": ["export"],
    },
    "auditor": {
        **CUSTOMERS,
        **RULES,
        **HISTORY_OF_RULES,
        **CAMPAIGNS,
        **REVEALS,
        **DISCLOSURES,
        **TRAIL,
        "consent.suppression": [VIEW],
    },
    "administrator": {"privacy_office.staff": [VIEW, ADD, CHANGE]},
}


def codenames(rights):
    """Yield (app, permission's codename) for one role's row of the table."""
    for label, verbs in rights.items():
        app, model = label.split(".")
        for verb in verbs:
            yield app, f"{verb}_{model}"
