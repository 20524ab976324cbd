"""The paper's equations in NumPy float64, written from the paper alone, one file a technique."""
