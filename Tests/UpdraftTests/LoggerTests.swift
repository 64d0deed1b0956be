import Logging
import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// The two loggers of a loop: contract row I2.
@Suite(.timeLimit(.minutes(1))) struct LoggerTests {
    private struct Broken: Error {}

    /// One line of user code's, and two of the library's. On epoll: not every poller minds that a
    /// descriptor is closed before its handler is removed.
    private nonisolated(nonsending) func logOneLineOfEach(_ loop: IOLoop) async throws {
        let pipe = SystemPipe()
        let descriptor = pipe.readEnd
        try loop.addHandler(descriptor, events: .read) { _, _ in }
        pipe.closeRead()
        loop.removeHandler(descriptor)
        loop.addCallback { throw Broken() }
        loop.shutDown()
        try await loop.turns(3)
    }

    @Test func userCodesErrorsAndTheLibrarysLinesHaveLoggersOfTheirOwn_I2() async throws {
        let (application, general) = (LogLines(), LogLines())
        try await withLoop(poller: .epoll) { loop in
            loop.logger = application.logger
            loop.libraryLogger = general.logger
            try await logOneLineOfEach(loop)
        }
        #expect(application.all == ["error: A callback threw: Broken()"])
        #expect(general.all.count == 2)
        #expect(general.all.first?.hasPrefix("debug: unwatch: ") == true)
        #expect(general.all.last?.hasPrefix("info: stopping on request") == true)
    }

    @Test func aShutdownIsTheLibrarysToTellOf_I2_P2() async throws {
        let (application, general) = (LogLines(), LogLines())
        try await withVirtualLoop { loop in
            loop.logger = application.logger
            loop.libraryLogger = general.logger
            let server = TCPServer(port: 0)
            try server.listen { stream in try await stream.loop.sleep(for: .seconds(60)) }
            let client = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
            try await loop.turns { server.connectionCount == 1 }
            loop.shutDown(within: .seconds(3))
            try await loop.sleep(for: .seconds(10))
            #expect(server.connectionCount == 0)
            client.abort()
        }
        for text in ["stopping on request", "still waiting for 1 connection", "the time to drain"] {
            #expect(!general.with(text).isEmpty, "\(text)")
        }
        #expect(application.all.isEmpty)
    }

    @Test func stopHooksThatAreSlowAreTheLibrarysToTellOf_I2() async throws {
        let (application, general) = (LogLines(), LogLines())
        try await withVirtualLoop { loop in
            loop.logger = application.logger
            loop.libraryLogger = general.logger
            loop.onStop("slow") { try await loop.sleep(for: .seconds(60)) }
            _ = await loop.failureOfFinishing {}
        }
        #expect(!general.with("still waiting for the stop hook 'slow'").isEmpty)
        #expect(!general.with("the stop hook 'slow' is cancelled").isEmpty)
        #expect(application.all.isEmpty)
    }

    @Test func oneLoggerThatIsSetTakesTheLibrarysLinesToo_I2() async throws {
        let lines = LogLines()
        try await withLoop { loop in
            loop.logger = lines.logger
            #expect(loop.libraryLogger.label == LoggerLabel.general)
            try await logOneLineOfEach(loop)
        }
        #expect(!lines.with("A callback threw").isEmpty)
        #expect(!lines.with("stopping on request").isEmpty)
    }

    @Test func theLevelAndMetadataOfOneLoggerHoldForBoth_I2() async throws {
        try await withLoop { loop in
            let level = loop.libraryLogger.logLevel
            #expect(level != .critical)
            loop.logger[metadataKey: "service"] = "shop"
            #expect(loop.libraryLogger.logLevel == level)
            loop.logger.logLevel = .critical
            let general = loop.libraryLogger
            #expect(general.label == LoggerLabel.general)
            #expect(general.logLevel == .critical)
            #expect(general[metadataKey: "service"] == "shop")
            loop.libraryLogger.logLevel = .debug
            #expect(loop.libraryLogger.logLevel == .debug)
            #expect(loop.logger.logLevel == .critical)
        }
    }
}
