"""One behaving fake per port, shipped so that benches and other projects can use them."""
