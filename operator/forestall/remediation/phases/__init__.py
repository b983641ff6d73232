"""What is done in each phase of a Remediation: one module a phase."""
