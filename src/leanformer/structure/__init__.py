"""Units, masks, cost, surgery, repair."""
