"""The procedures: one flow per runbook."""
