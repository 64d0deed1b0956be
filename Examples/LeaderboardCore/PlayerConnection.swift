/// What the game needs of a player's connection.
public protocol PlayerConnection: AnyObject {
    /// Calls the player's `overtaken` and waits for the answer.
    ///
    /// - Parameters:
    ///   - uid: Who overtook them.
    ///   - score: The score that did it.
    ///   - rank: The called player's rank now.
    /// - Throws: The player's error answer, or why there can be none any more.
    nonisolated(nonsending) func overtaken(by uid: String, score: Int64, rank: Int) async throws

    /// Closes the connection.
    func close()
}
