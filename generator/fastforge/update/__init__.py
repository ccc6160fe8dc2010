"""Changes to a project, merged into the code of its owner: releases, answers, resources."""
