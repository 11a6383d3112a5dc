"""Sequential detectors (River's) behind one edge: by name, checked, clipped, with a state that is bytes and no pickle."""
