"""Where trials run: Ray, its workers, their memory."""
