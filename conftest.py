"""What every test run of FastForge has: real servers, and a choice of variants."""

pytest_plugins = ["tests.servers.plugin", "tests.variants.plugin", "tests.faults.plugin", "tests.schedule"]
