"""Where images come from: folders, few-shot lists, views of a shot."""
