"""The tests of app/forge. They belong to FastForge, and generated projects do not contain them."""
