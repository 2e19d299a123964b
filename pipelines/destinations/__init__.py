"""Where figures go to reach people: Discord, Notion, files. Each is handed a digest and is safe to be handed it twice."""
