/// An object that has a descriptor, such as a socket or a device of your own, to be watched in
/// place of the number. Contract row C9.
///
/// ```swift
/// final class Device: DescriptorOwner {
///     let descriptor: Int32
///     init(_ descriptor: Int32) { self.descriptor = descriptor }
///     func close() { Glibc.close(descriptor) }
/// }
/// ```
public protocol DescriptorOwner: AnyObject {
    /// The number; the same one from the registration until it is taken back.
    var descriptor: Int32 { get }

    /// Closes the descriptor. Called by `IOLoop.close(allDescriptors: true)` on the loop's thread.
    func close()
}

// Objects in place of descriptors: contract row C9, conformance list 3.1, 18-20.
extension IOLoop {
    /// Calls `handler` with the object itself whenever its descriptor is ready; otherwise as
    /// `addHandler(_:events:_:)` for numbers. The loop keeps the object until the handler is
    /// removed, and does not close it before `close(allDescriptors: true)`.
    ///
    /// - Throws: `LoopError` with `.duplicateHandler` if the descriptor has a handler, by its
    ///   number or by an object; `SystemError` if it can't be watched.
    public func addHandler<Owner: DescriptorOwner>(
        _ object: Owner, events: IOEvents,
        _ handler: @escaping (_ object: Owner, _ events: IOEvents) throws -> Void
    ) throws {
        checkThread("IOLoop.addHandler")
        try addHandler(
            object.descriptor, owner: object, events: events,
            context: captureContext(isRepeated: true)
        ) { [unowned object] _, events in try handler(object, events) }
    }

    /// Replaces what a registered object is watched for; `error` stays.
    ///
    /// - Throws: `LoopError` with `.noHandler` if the object has no handler.
    public func updateHandler(_ object: some DescriptorOwner, events: IOEvents) throws {
        checkThread("IOLoop.updateHandler")
        guard let descriptor = registeredDescriptor(of: object) else {
            throw LoopError(.noHandler, "The object has no handler to update.")
        }
        try updateHandler(descriptor, events: events)
    }

    /// Forgets the handler of an object, and any event that was fetched for it and not served yet;
    /// also if the object was closed meanwhile. Does nothing if it has none: a handler that was
    /// registered by number stays.
    public func removeHandler(_ object: some DescriptorOwner) {
        checkThread("IOLoop.removeHandler")
        if let descriptor = registeredDescriptor(of: object) { unwatch(descriptor) }
    }

    /// The number that the object was registered with. One that was closed may have another now,
    /// which is why all are looked at then.
    private func registeredDescriptor(of object: some DescriptorOwner) -> Int32? {
        func isOwn(_ sink: (any ReadinessSink)?) -> Bool {
            (sink as? HandlerSink)?.owner === object
        }
        if isOwn(table.sink(of: object.descriptor)) { return object.descriptor }
        return table.entries.first { isOwn($0.sink) }?.descriptor
    }
}
