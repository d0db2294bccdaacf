class Escalation:
    pass
