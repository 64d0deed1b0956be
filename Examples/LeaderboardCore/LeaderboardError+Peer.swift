extension LeaderboardError {
    /// What a client is told: what it did wrong, or that the server has trouble, without paths.
    public var rpcMessage: String {
        switch code {
        case .invalidUID, .notLoggedIn, .busy, .overflow:
            message
        case .folderInUse, .notAScoreLog, .unsupportedVersion, .corruptLog, .fileFailed,
            .logUnusable:
            "the score could not be stored; it is not kept"
        }
    }
}
