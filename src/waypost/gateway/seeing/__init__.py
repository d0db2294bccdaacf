"""What can be seen of it: numbers, logs, the record of every decision and its page."""
