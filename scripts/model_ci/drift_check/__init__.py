"""What the stage check-drift does with sketches: what is looked at, what it is compared with, what earlier looks said."""
