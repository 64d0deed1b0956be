/// The game.
