import Testing
import Updraft
@testable import UpdraftRPC
import UpdraftTesting

struct StateTests {
    @Test func callIdsBeginAt1AndSkipZeroAndThoseInUse() async throws {
        try await withLoop { loop in
            var calls = PendingCalls()
            #expect(calls.begin(loop: loop).id == 1)
            var late = PendingCalls()
            late.jump(to: .max - 1)
            let last = late.begin(loop: loop)
            let first = late.begin(loop: loop)
            #expect(last.id == .max)
            #expect(first.id == 1)
            var wrapped = PendingCalls()
            let long = wrapped.begin(loop: loop)
            wrapped.jump(to: .max)
            #expect(wrapped.begin(loop: loop).id == 2)
            #expect(wrapped.take(1) === long)
            #expect(wrapped.take(1) == nil)
        }
    }

    @Test func callThatEndedIsUsedAgainButNotFoundUnderItsOldId() async throws {
        try await withLoop { loop in
            var calls = PendingCalls()
            let first = calls.begin(loop: loop)
            calls.end(first)
            let second = calls.begin(loop: loop)
            #expect(second === first)
            #expect(calls.take(1) == nil)
            #expect(calls.take(2) === second)
        }
    }

    @Test func methodsAreFoundByBytesAlsoAfterTheTableHasGrown() async throws {
        try await withLoop { _ in
            let methods = RPCMethods()
            let names = (0..<1_000).map { "method\($0)" } + ["", "ü", "a\u{0}b"]
            for name in names { methods.register(name) { name } }
            for name in names {
                let found = Array(name.utf8).withUnsafeBytes { methods.find($0) }
                #expect(found?.name == name)
            }
            let missing = Array("method1000".utf8).withUnsafeBytes { methods.find($0) }
            #expect(missing == nil)
            #expect(methods.names.count == names.count)
        }
    }

    @Test func intakePausesOnceForTwoReasonsAndResumesWhenBothAreGone() {
        var intake = RequestIntake()
        #expect(intake.begin(max: 2) == .none)
        #expect(intake.begin(max: 2) == .pause)
        #expect(intake.holdBack(true) == .none)
        #expect(intake.end(max: 2) == .none)
        #expect(intake.isPaused)
        #expect(intake.holdBack(false) == .resume)
        #expect(intake.end(max: 2) == .none)
        #expect(intake.inProgress == 0)
    }
}
