"""Which file of a group stays, and why."""
