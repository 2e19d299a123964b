"""`kpi serve`: values and events handed over by HTTP, safely in the inbox before they are acknowledged, and runs on demand."""
