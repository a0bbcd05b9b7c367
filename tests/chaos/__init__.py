"""Random schedules of failures over real sockets, and a judge; see docs/reliability.md."""
