//! What the emulated sources hold: schemas, tables and columns that look like a company's.

use super::source::Kind;

/// A table of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// Schema or database; empty where the source has none.
    pub(super) schema: &'static str,
    pub(super) name: &'static str,
    pub(super) columns: Vec<Column>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) data_type: &'static str,
    pub(super) primary_key: bool,
}

/// Returns every table of the emulated source of a kind, schema by schema.
pub(super) fn tables(kind: Kind) -> Vec<Table> {
    lines(kind).lines().filter_map(table).collect()
}

/// Reads `schema.table column:type! column:type …`, where `!` marks the primary key.
fn table(line: &'static str) -> Option<Table> {
    let mut words = line.split_whitespace();
    let full = words.next()?;
    let (schema, name) = full.split_once('.').unwrap_or(("", full));
    let columns = words.filter_map(|word| {
        let (name, data_type) = word.split_once(':')?;
        let primary_key = data_type.ends_with('!');
        Some(Column { name, data_type: data_type.trim_end_matches('!'), primary_key })
    });
    Some(Table { schema, name, columns: columns.collect() })
}

fn lines(kind: Kind) -> &'static str {
    match kind {
        Kind::Postgresql => {
            "public.customers id:bigint! email:text country:text created_at:timestamptz
             public.addresses id:bigint! customer_id:bigint street:text city:text postcode:text
             public.products id:bigint! sku:text title:text price_cents:integer
             public.inventory product_id:bigint! warehouse_id:bigint! on_hand:integer
             public.carts id:uuid! customer_id:bigint updated_at:timestamptz
             public.orders id:bigint! customer_id:bigint status:text total_cents:integer placed_at:timestamptz
             public.order_items order_id:bigint! line:integer! product_id:bigint quantity:integer
             public.shipments id:bigint! order_id:bigint carrier:text shipped_at:timestamptz
             public.events id:bigint! name:text payload:jsonb occurred_at:timestamptz
             billing.invoices id:bigint! order_id:bigint amount_cents:integer due_on:date
             billing.payments id:bigint! invoice_id:bigint method:text captured_at:timestamptz
             billing.failed_charges id:bigint! invoice_id:bigint reason:text attempted_at:timestamptz
             billing.subscriptions id:bigint! customer_id:bigint plan:text renews_on:date"
        }
        Kind::Mysql => {
            "crm.accounts id:bigint! name:varchar(255) owner_id:bigint industry:varchar(64)
             crm.contacts id:bigint! account_id:bigint email:varchar(255) phone:varchar(32)
             crm.leads id:bigint! source:varchar(64) score:int created_at:datetime
             crm.opportunities id:bigint! account_id:bigint stage:varchar(32) amount:decimal(12,2)
             crm.activities id:bigint! contact_id:bigint kind:varchar(32) happened_at:datetime
             support.agents id:bigint! name:varchar(128) team:varchar(64)
             support.tickets id:bigint! account_id:bigint subject:varchar(255) state:varchar(16)
             support.ticket_events id:bigint! ticket_id:bigint kind:varchar(32) at:datetime
             support.failed_notifications id:bigint! ticket_id:bigint error:text"
        }
        Kind::Oracle => {
            "ERP.GL_ENTRIES ENTRY_ID:NUMBER! ACCOUNT:VARCHAR2 AMOUNT:NUMBER POSTED_AT:DATE
             ERP.PURCHASE_ORDERS PO_ID:NUMBER! SUPPLIER_ID:NUMBER STATUS:VARCHAR2 TOTAL:NUMBER
             ERP.SUPPLIERS SUPPLIER_ID:NUMBER! NAME:VARCHAR2 COUNTRY:CHAR
             ERP.WAREHOUSES WAREHOUSE_ID:NUMBER! CITY:VARCHAR2
             HR.EMPLOYEES EMPLOYEE_ID:NUMBER! LAST_NAME:VARCHAR2 HIRED_ON:DATE
             HR.DEPARTMENTS DEPARTMENT_ID:NUMBER! NAME:VARCHAR2
             HR.PAYROLL_RUNS RUN_ID:NUMBER! PERIOD:VARCHAR2 CLOSED_AT:TIMESTAMP"
        }
        Kind::SqlServer => {
            "dbo.Stores StoreId:int! City:nvarchar(100) OpenedOn:date
             dbo.Tills TillId:int! StoreId:int Model:nvarchar(50)
             dbo.Receipts ReceiptId:bigint! TillId:int Total:decimal(10,2) ClosedAt:datetime2
             dbo.ReceiptLines ReceiptId:bigint! Line:int! Sku:nvarchar(32) Quantity:int
             dbo.Promotions PromotionId:int! Title:nvarchar(200) EndsOn:date
             staff.Shifts ShiftId:bigint! StoreId:int StartsAt:datetime2 EndsAt:datetime2"
        }
        Kind::Salesforce => {
            "Account Id:id! Name:string Industry:picklist
             Contact Id:id! AccountId:reference Email:email
             Opportunity Id:id! AccountId:reference StageName:picklist Amount:currency"
        }
        Kind::Mongodb => {
            "app.profiles _id:objectId! handle:string settings:object
             app.sessions _id:objectId! profile:objectId startedAt:date
             catalog.articles _id:objectId! title:string tags:array"
        }
        Kind::Spanner => {
            ".Accounts AccountId:STRING(36)! Currency:STRING(3) OpenedAt:TIMESTAMP
             .LedgerEntries AccountId:STRING(36)! EntryId:INT64! Amount:NUMERIC PostedAt:TIMESTAMP"
        }
        Kind::Catalog => {
            "incident sys_id:string! number:string opened_at:datetime
             change_request sys_id:string! number:string risk:string"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_has_tables_with_columns_and_a_key() {
        let kinds = [
            Kind::Oracle,
            Kind::Mysql,
            Kind::Postgresql,
            Kind::SqlServer,
            Kind::Salesforce,
            Kind::Mongodb,
            Kind::Spanner,
            Kind::Catalog,
        ];
        for kind in kinds {
            let tables = tables(kind);
            assert_eq!(tables.len(), lines(kind).lines().count(), "{kind:?}");
            for table in tables {
                assert!(table.columns.len() >= 2 && table.columns[0].primary_key, "{kind:?} {}", table.name);
            }
        }
    }
}
