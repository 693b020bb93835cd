"""Judging by rules: a spec, the account that it is meant for, a submission; and the report."""
