"""When and by whom the procedures are started: schedule, receiver, command line."""
