internal import Synchronization

/// Asks the system (`getaddrinfo`) on threads of its own, so that a slow name server holds up
/// neither the loop nor its file work.
///
/// Equal questions that are asked at the same time are asked once, and an answer is kept for a
/// short while: the system does not tell how long it is good for. Failures are not kept. A question
/// that nobody waits for any more is not asked, unless the system has been asked already.
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

    /// A question that is to be asked, and how many wait for its answer.
    private final class Inquiry {
        let answer: LoopFuture<[SocketAddress]>
        let start: Start
        var waiters = 0

        init(_ answer: LoopFuture<[SocketAddress]>, _ start: Start) {
            self.answer = answer
            self.start = start
        }
    }

    /// Whether a thread has begun to ask.
    private final class Start: Sendable {
        private let flag = Atomic(false)

        var hasBegun: Bool { flag.load(ordering: .relaxed) }

        func begin() { flag.store(true, ordering: .relaxed) }
    }

    private let loop: IOLoop
    private let options: Options
    private let pool: BlockingPool
    private let lookUp: @Sendable (NameLookUp) throws -> [SocketAddress]
    private var answers: [NameLookUp: Answer] = [:]
    private var pending: [NameLookUp: Inquiry] = [:]

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

    /// See `Resolver`. If the calling task is cancelled the wait ends; a question that the system
    /// has been asked goes on, and its answer is kept.
    ///
    /// - Throws: As `Resolver` says. The `cause` of `.cannotResolve` is a `LoopError` with `.full`
    ///   if 1,024 questions wait already.
    public nonisolated(nonsending) func resolve(
        _ host: String, port: Int, family: AddressFamily
    ) async throws -> [SocketAddress] {
        let question = try NameLookUp(host, port: port, family: family)
        if let numeric = try question.numeric() { return numeric }
        if let answer = answers[question], loop.now < answer.end { return answer.addresses }
        let inquiry = pending[question] ?? ask(question)
        inquiry.waiters += 1
        defer { leave(question, inquiry) }
        return try await inquiry.answer.value
    }

    private func ask(_ question: NameLookUp) -> Inquiry {
        let (lookUp, start) = (lookUp, Start())
        let answer = loop.async { [self] in
            defer { forget(question, start) }
            do {
                let addresses = try await loop.runInExecutor(pool) {
                    start.begin()
                    return try lookUp(question)
                }
                keep(addresses, for: question)
                return addresses
            } catch let error where error is LoopError || error is SystemError {
                throw question.failure(error)
            }
        }
        let inquiry = Inquiry(answer, start)
        pending[question] = inquiry
        return inquiry
    }

    /// One does not wait any more.
    private func leave(_ question: NameLookUp, _ inquiry: Inquiry) {
        inquiry.waiters -= 1
        guard inquiry.waiters == 0, !inquiry.start.hasBegun else { return }
        // Its place in the pool is another's. Whoever asks next asks anew.
        forget(question, inquiry.start)
        inquiry.answer.cancel()
    }

    /// The question may have been asked anew meanwhile.
    private func forget(_ question: NameLookUp, _ start: Start) {
        if pending[question]?.start === start { pending[question] = nil }
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
