/// The labels of the library's loggers, for the set-up of `LoggingSystem` (contract row I2).
public enum LoggerLabel {
    /// Requests that were served, one line each. The loop and its streams write none.
    public static let access = "updraft.access"

    /// What user code threw and nobody caught, and turns that user code blocks.
    public static let application = "updraft.application"

    /// What the library itself has to say: of peers, of accepting, of shutting down.
    public static let general = "updraft.general"
}
