public import Logging

/// The labels of the library's loggers, for the set-up of `LoggingSystem` (contract row I2).
public enum LoggerLabel {
    /// Requests that were served, one line each: for servers of a protocol with an access log, such
    /// as HTTP. The loop, its streams and RPC write none.
    public static let access = "updraft.access"

    /// What user code threw and nobody caught, and turns that user code blocks: `IOLoop.logger`.
    public static let application = "updraft.application"

    /// What the library itself has to say, of peers, of accepting, of shutting down:
    /// `IOLoop.libraryLogger`, `TCPServer.logger`.
    public static let general = "updraft.general"
}

// The two loggers of a loop: contract row I2.
extension IOLoop {
    /// The logger of what the library itself has to say, with the label `updraft.general`: the
    /// progress of a shutdown, and what goes wrong in the loop and not in user code.
    ///
    /// As long as it is not set, it follows `logger`, so that one logger takes all lines: a handler
    /// of your own there gets these lines too, and a level or metadata set there holds for them.
    /// With neither set, both are what `LoggingSystem` makes of their labels.
    public var libraryLogger: Logger {
        get { ownLibraryLogger ?? followingLogger }
        set { ownLibraryLogger = newValue }
    }

    /// Made where there is a line to log, which is seldom.
    private var followingLogger: Logger {
        let original = Logger(label: LoggerLabel.application)
        var general = Logger(label: LoggerLabel.general)
        // Many handlers print the label that they were made with: that of `logger` would be wrong.
        let isOriginal =
            logger.label == original.label
            && type(of: logger.handler) == type(of: original.handler)
        guard isOriginal else {
            return Logger(label: LoggerLabel.general) { _ in logger.handler }
        }
        if logger.logLevel != original.logLevel { general.logLevel = logger.logLevel }
        let added = logger.handler.metadata.filter { original[metadataKey: $0.key] != $0.value }
        for (key, value) in added { general[metadataKey: key] = value }
        return general
    }
}
