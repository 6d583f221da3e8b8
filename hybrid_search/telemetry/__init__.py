"""What a running process tells about itself: metrics, log lines, traces. Below all rooms that it is called from; knows none of them."""
