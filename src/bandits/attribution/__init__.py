"""What came back: rewards joined to the exposures that earned them, late, twice and out of order as they come."""
