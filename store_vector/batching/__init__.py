"""Operations grouped into few requests."""
