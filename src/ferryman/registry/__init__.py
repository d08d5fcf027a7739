"""What a write means: defaults, validation, patches, generation, status; pure."""
