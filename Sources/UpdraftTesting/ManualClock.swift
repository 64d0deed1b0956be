/// Test tools.
