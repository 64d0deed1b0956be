/// Asks the system (`getaddrinfo`) on threads of its own, so that a slow name server holds up
/// neither the loop nor its file work.
///
/// Equal questions that are asked at the same time are asked once, and an answer is kept for a
/// short while: the system does not tell how long it is good for. Failures are not kept.
public final class SystemResolver: Resolver {
    /// Bounds of a resolver.
    public struct Options: Sendable {
        /// How long an answer is given again; zero for never.
        public var cacheTime = Duration.seconds(5)
        /// Answers kept at the most; the oldest makes room.
        public var cacheMax = 256

        /// The defaults.
        public init() {}
    }

    private struct Answer {
        let addresses: [SocketAddress]
        let end: LoopInstant
    }

    private let loop: IOLoop
    private let options: Options
    private let pool: BlockingPool
    private let lookUp: @Sendable (NameLookUp) throws -> [SocketAddress]
    private var answers: [NameLookUp: Answer] = [:]
    private var pending: [NameLookUp: LoopFuture<[SocketAddress]>] = [:]

    /// The resolver that `TCPClient` takes on this loop if it is given none.
    public static func shared(on loop: IOLoop) throws -> SystemResolver {
        let key = ObjectIdentifier(SystemResolver.self)
        if let resolver = loop.attachments[key] as? SystemResolver { return resolver }
        let resolver = try SystemResolver(loop)
        loop.attachments[key] = resolver
        return resolver
    }

    /// A resolver for the streams of one loop.
    ///
    /// - Throws: `SystemError` if the system is out of memory.
    public convenience init(_ loop: IOLoop, options: Options = Options()) throws {
        try self.init(loop, options, lookUp: { try $0.answer() })
    }

    /// - Parameter lookUp: What asks the system, and blocks.
    init(
        _ loop: IOLoop, _ options: Options,
        lookUp: @escaping @Sendable (NameLookUp) throws -> [SocketAddress]
    ) throws {
        self.loop = loop
        self.options = options
        self.lookUp = lookUp
        pool = try BlockingPool(name: "resolver", size: 4, queueMax: 1_024)
    }

    deinit {
        pool.close()
    }

    /// See `Resolver`. If the calling task is cancelled the wait ends; the question itself goes on.
    ///
    /// - Throws: As `Resolver` says; `LoopError` with `.full` if 1,024 questions wait already.
    public nonisolated(nonsending) func resolve(
        _ host: String, port: Int, family: AddressFamily
    ) async throws -> [SocketAddress] {
        let question = try NameLookUp(host, port: port, family: family)
        if let numeric = try question.numeric() { return numeric }
        if let answer = answers[question], loop.now < answer.end { return answer.addresses }
        return try await ask(question).value
    }

    private func ask(_ question: NameLookUp) -> LoopFuture<[SocketAddress]> {
        if let future = pending[question] { return future }
        let lookUp = lookUp
        let future = loop.async { [self] in
            defer { pending[question] = nil }
            let addresses = try await loop.runInExecutor(pool) { try lookUp(question) }
            keep(addresses, for: question)
            return addresses
        }
        pending[question] = future
        return future
    }

    private func keep(_ addresses: [SocketAddress], for question: NameLookUp) {
        guard options.cacheTime > .zero, options.cacheMax > 0 else { return }
        if answers.count >= options.cacheMax, answers[question] == nil {
            let now = loop.now
            answers = answers.filter { now < $0.value.end }
            if answers.count >= options.cacheMax,
                let oldest = answers.min(by: { $0.value.end < $1.value.end })
            {
                answers[oldest.key] = nil
            }
        }
        answers[question] = Answer(
            addresses: addresses, end: loop.now.advanced(by: options.cacheTime))
    }
}
