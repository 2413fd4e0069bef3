"""What conditions compute: values, one at a time and as columns."""
