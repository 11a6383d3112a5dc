"""The demo: a real year of flights, watched as it goes by. The only part of Driftline that knows of flights."""
