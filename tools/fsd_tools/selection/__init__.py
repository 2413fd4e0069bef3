"""What a clip is worth: the heads that say so, and how they are learned."""
