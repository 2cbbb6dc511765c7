"""What each stage has to say in a report: one module a stage, with `blocks(section)`."""
