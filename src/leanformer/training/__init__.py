"""One trainer, named objectives, schedules."""
