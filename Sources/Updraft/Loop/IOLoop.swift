/// One loop per thread.
