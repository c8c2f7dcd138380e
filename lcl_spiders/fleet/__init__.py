"""Many sources: the queue's tasks, the coordinator, the workers, the schedule."""
