"""What is looked at: filters, selection, saved views, what differs."""
