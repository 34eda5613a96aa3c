"""What runs by the clock: tidying, alarms, heartbeats."""
