"""The tests of app/forge. They are FastForge's: nothing of them is in a project that its owner has."""
