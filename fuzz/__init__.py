"""Coverage-guided fuzzing of all that reads files of strangers: `hatch run fuzz:gob --minutes 20` and so on."""
